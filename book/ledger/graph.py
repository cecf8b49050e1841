"""The dependency graph: which proof uses which statement, and how to lay it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

ROW_LENGTH = 4  # nodes side by side: more would be unreadable in the text column


@dataclass(frozen=True)
class Layout:
    """Where the nodes stand: label to (column, row), and the number of rows."""

    places: Mapping[str, tuple[int, int]]
    rows: int


def dependency_graph(uses: Mapping[str, Sequence[str]]) -> nx.DiGraph:
    """Build the graph with an arrow from each used statement to the one whose proof uses it."""
    graph = nx.DiGraph()
    graph.add_nodes_from(uses)
    graph.add_edges_from((used, label) for label, all_used in uses.items() for used in all_used)
    return graph


def cycle(graph: nx.DiGraph) -> list[str]:
    """Return the labels of one circle of proofs, each used by the next; [] if there is none.

    The list reads "first uses second uses … uses first".
    """
    try:
        edges = nx.find_cycle(graph)
    except nx.NetworkXNoCycle:
        return []
    return [source for source, _ in reversed(edges)]


def layered_layout(graph: nx.DiGraph) -> Layout:
    """Place each statement below everything that its proof uses.

    Layers are topological generations. Within a layer a node stands near the mean column of
    what it uses, which keeps arrows short; a layer longer than `ROW_LENGTH` wraps. Statements
    without any arrow come last.

    Parameters
    ----------
    graph : nx.DiGraph
        Without cycles; a circular graph raises `networkx.NetworkXUnfeasible`.

    Returns
    -------
    Layout
    """
    linked = graph.subgraph(node for node, degree in graph.degree if degree)
    order = {node: index for index, node in enumerate(graph)}
    layers = [sorted(layer, key=order.__getitem__) for layer in nx.topological_generations(linked)]
    alone = [node for node, degree in graph.degree if not degree]
    places: dict[str, tuple[int, int]] = {}
    rows = 0
    for layer in [*layers, alone]:
        layer.sort(key=lambda node: _mean_column(graph, node, places))
        for start in range(0, len(layer), ROW_LENGTH):
            row = layer[start : start + ROW_LENGTH]
            margin = (ROW_LENGTH - len(row)) // 2  # columns stay aligned: arrows run between
            places.update((node, (margin + i, rows)) for i, node in enumerate(row))
            rows += 1
    return Layout(places, rows)


def _mean_column(graph: nx.DiGraph, node: str, places: Mapping[str, tuple[int, int]]) -> float:
    columns = [places[used][0] for used in graph.predecessors(node) if used in places]
    return sum(columns) / len(columns) if columns else ROW_LENGTH / 2

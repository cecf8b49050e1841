"""Settings of nbval, which re-executes the chapters here and compares their outputs."""


def pytest_collectstart(collector):
    # Progress bars and warnings go to stderr, which `make rerun` does not store.
    if collector.__class__.__name__ == "IPyNbFile":
        collector.skip_compare += ("stderr",)

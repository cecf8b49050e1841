"""What a chapter asks of its run: profile and device."""

import subprocess
import sys

import pytest

from kdlib import run


def test_profile_is_default_unless_set(monkeypatch):
    monkeypatch.delenv("KDLIB_PROFILE", raising=False)
    assert run.profile() == "default"
    monkeypatch.setenv("KDLIB_PROFILE", "large")
    assert run.profile() == "large"


@pytest.mark.parametrize("name", ["huge", "", "Default"])
def test_an_unknown_profile_is_refused_by_name(monkeypatch, name):
    monkeypatch.setenv("KDLIB_PROFILE", name)
    with pytest.raises(ValueError, match=f"KDLIB_PROFILE.*{name!r}"):
        run.profile()


@pytest.mark.parametrize("available, kind", [(True, "cuda"), (False, "cpu")])
def test_device_is_cuda_when_there(monkeypatch, available, kind):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert run.device().type == kind
    assert run.device_name() == ("cuda (Some GPU)" if available else "cpu")


def test_importing_run_and_records_loads_the_standard_library_only():
    code = "import sys, kdlib.run, kdlib.records; "
    code += "sys.exit(any(m in sys.modules for m in ('torch', 'flint', 'sympy', 'z3', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

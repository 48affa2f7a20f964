import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: tests run in parallel, one core each

import pytest

from gru4recf.data.synthetic import make_synthetic

signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job and its children ignore Ctrl-C


def pytest_collection_modifyitems(items):
    if not os.environ.get("GRU4RECF_DATA"):
        skip = pytest.mark.skip(reason="GRU4RECF_DATA is not set")
        for item in items:
            if "mirror" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def synthetic():
    return make_synthetic(n_sessions=400, n_items=40, n_groups=5, telling=0.8, seed=1)


@pytest.fixture
def atomic_folder(tmp_path):
    """Return a function that writes text into NAME.inter and NAME.item of a new folder and returns the folder."""

    def write(inter, item=None, name="shop"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.inter").write_text(inter, newline="")
        if item is not None:
            (folder / f"{name}.item").write_text(item, newline="")
        return folder

    return write

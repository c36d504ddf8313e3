"""notebook/day.ipynb, executed for real: by nbclient, in a kernel, against a
running cluster. What a front end would do, the test does: it looks at the
outputs as they come, and it moves the slider.

Only with the newest client: Debian's has no nbclient, and its ipywidgets are
of before the protocol that ipyparallel relays.
"""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "notebook" / "day.ipynb"


class FrontEnd(NotebookClient):
    """Opens the gate when it sees the words, and moves the slider."""

    gate: Path | None = None
    seen_at_gate: str | None = None
    slider: str | None = None

    def process_message(self, msg, cell, cell_index):
        content = msg["content"]
        if msg["msg_type"] == "display_data":
            shown = content["data"].get("text/plain", "")
            if "engine 0 waits" in shown:
                self.seen_at_gate = shown
                self.gate.touch()
        elif msg["msg_type"] == "comm_open":
            state = content["data"].get("state", {})
            if state.get("_model_name") == "IntSliderModel":
                self.slider = content["comm_id"]
        return super().process_message(msg, cell, cell_index)

    def move_slider(self, value: int) -> None:
        """As the browser's side of a widget says it."""
        message = self.kc.session.msg("comm_msg", {
            "comm_id": self.slider,
            "data": {"method": "update", "state": {"value": value},
                     "buffer_paths": []}})
        self.kc.shell_channel.send(message)


@pytest.fixture(scope="module")
def executed(cluster, tmp_path_factory):
    """The executed notebook and the front end that executed it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = tmp_path_factory.mktemp("notebook")
    front = FrontEnd(
        notebook, timeout=90, kernel_name="python3", store_widget_state=True,
        resources={"metadata": {"path": str(place)}})
    front.gate = place / "gate"

    def after(cell, cell_index, execute_reply):
        if "slider =" in cell["source"]:
            front.move_slider(7)

    front.on_cell_executed = after
    env = dict(cluster.env, NOTEBOOK_GATE=str(front.gate))
    front.execute(env=env)
    return notebook, front


@pytest.fixture
def outputs(executed):
    """outputs(word): all outputs of the one cell with that word."""
    def find(word: str) -> list:
        (cell,) = [cell for cell in executed[0].cells
                   if cell.cell_type == "code" and word in cell.source]
        return cell.outputs
    return find


def text(found: list) -> str:
    """All that is to be read; streams of engines are displayed as text."""
    return "\n".join([*data(found, "text/plain"),
                      *(out.get("text", "") for out in found)])


def data(found: list, mime: str) -> list:
    return [out.data[mime] for out in found if mime in out.get("data", {})]


def test_it_finds_the_cluster(outputs):
    assert data(outputs("rc.ids"), "text/plain")[-1] == "[0, 1, 2, 3]"


def test_output_streams(executed, outputs):
    """The gate was opened by the words that came through it."""
    assert "engine 0 waits" in executed[1].seen_at_gate
    told = text(outputs("engine 0 waits"))
    for number in range(4):
        assert f"engine {number} goes on" in told


def test_an_error_arrives(outputs):
    found = outputs("raise ValueError")
    assert [out.evalue for out in found if out.output_type == "error"] == [
        "1 errors"]
    told = text(found)
    assert "[2:execute]" in told
    assert "number two does not like this" in told


def test_a_figure_arrives(outputs):
    (image,) = data(outputs("plt.plot"), "image/png")
    png = base64.b64decode(image)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.rstrip().endswith(b"IEND\xaeB`\x82")
    assert len(png) > 5000


def test_rich_results_arrive(outputs):
    tables = data(outputs("pd.DataFrame"), "text/html")
    assert len(tables) == 2
    assert all("<th>square</th>" in table for table in tables)


def widgets(executed) -> list[dict]:
    state = executed[0].metadata.widgets[
        "application/vnd.jupyter.widget-state+json"]["state"]
    return list(state.values())


def test_a_progress_bar_of_an_engine(executed, outputs):
    (bar,) = [widget["state"] for widget in widgets(executed)
              if widget["model_name"] == "FloatProgressModel"
              and widget["state"]["max"] == 20]
    assert bar["value"] == 20
    assert bar["bar_style"] == "success"
    assert any("190" in plain for plain in
               data(outputs("for i in tqdm"), "text/plain"))


def test_a_progress_bar_for_all(executed, outputs):
    assert data(outputs("wait_interactive"), "text/plain")[-1] == str(
        sum(n * n for n in range(30)))


def test_a_widget_of_an_engine(executed, outputs):
    shown = data(outputs("IntSlider"),
                 "application/vnd.jupyter.widget-view+json")
    assert [view["model_id"] for view in shown] == [executed[1].slider]
    (slider,) = [widget["state"] for widget in widgets(executed)
                 if widget["model_name"] == "IntSliderModel"]
    assert slider["description"] == "engine 0"
    assert "moved to [7]" in text(outputs("moved to"))


def test_mpi_in_a_cell(outputs):
    sums = data(outputs("allreduce"), "text/plain")
    assert len(sums) == 4
    assert all(plain.endswith("6") for plain in sums)

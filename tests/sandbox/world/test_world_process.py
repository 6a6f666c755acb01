import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest


@pytest.mark.slow
def test_the_process_answers_and_ends_on_sigterm(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "MAINSTEM_HOST": "127.0.0.1",
        "MAINSTEM_PORT": str(port),
        "MAINSTEM_CLOCK_FILE": str(tmp_path / "clock"),
        "STRIPE_API_KEY": "sk_test_world",
        **{f"CTMS_ACOUSTIC_{name}": name.lower() for name in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")},
        "CTMS_ACOUSTIC_MAIN_TABLE_ID": "1",
        "CTMS_ACOUSTIC_NEWSLETTER_TABLE_ID": "9",
        "CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID": "10",
    }
    command = [str(Path(sys.executable).with_name("mainstem")), "sandbox", "world"]
    with subprocess.Popen(command, env=environment) as process:
        try:
            assert _answers(f"http://127.0.0.1:{port}/__heartbeat__")
            process.terminate()
            assert process.wait(5) in (0, -signal.SIGTERM)
        finally:
            process.kill()


def _answers(url: str) -> bool:
    for _ in range(300):
        try:
            return httpx.get(url, trust_env=False).status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
    return False

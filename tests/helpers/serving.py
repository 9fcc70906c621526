"""What tests of serving share."""

import contextlib
import shutil
import threading
import time

import numpy as np
import soundfile

from genre_core.apps.serve import server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)


def music(seconds, rate=22050, seed=0):
    """Chords and a beat: something that the packaged model takes for music."""
    t = np.arange(round(seconds * rate)) / rate
    chord = np.array([220, 261.6, 329.6, 440])[:, None] * np.resize([1, 0.89, 0.75, 1], int(seconds) + 1)[t.astype(int)]
    beat = (t % 0.5 < 0.03) * np.random.default_rng(seed).normal(size=len(t))
    return (0.1 * np.sin(2 * np.pi * np.cumsum(chord, axis=1) / rate).sum(0) * (0.4 + 0.6 * np.exp(-4 * (t % 0.5))) + 0.2 * beat).astype(
        "f4"
    )


def wav(path, y, rate=22050):
    soundfile.write(path, y, rate)
    return path


@contextlib.contextmanager
def serving(app):
    """Serve an application in a thread; yield its address."""
    with server.listen("127.0.0.1", 0) as listener:
        running = server.server(app)
        thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.should_exit = True
        thread.join(10)

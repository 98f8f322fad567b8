"""Draw the explorer's pictures: docs/images/explorer.png and explorer-dark.png.

    python docs/images/make.py        # or: make pictures

Needs Chromium (or Chrome) on the path.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L

HERE = Path(__file__).parent
HELD = "document.querySelectorAll('.pane .node')[%d].dispatchEvent(new MouseEvent('click', {bubbles: true}))"
PICTURES = {
    "explorer.png": "",
    "explorer-dark.png": "document.documentElement.classList.add('dark');" + HELD % 4,
}


class CNN(jaxchain.Chain):
    """Two convolutions with batch normalisation, dropout and a linear layer."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(None, 16, 3, pad=1)
            self.bn1 = L.BatchNormalization(16)
            self.conv2 = L.Convolution2D(16, 32, 3, pad=1)
            self.bn2 = L.BatchNormalization(32)
            self.fc = L.Linear(None, 10)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.bn1(self.conv1(x))), 2)
        h = F.max_pooling_2d(F.relu(self.bn2(self.conv2(h))), 2)
        return self.fc(F.dropout(h, 0.3))


def main():
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("no chromium on the path to draw with")
    jaxchain.seed(0)
    x = np.random.default_rng(0).standard_normal((8, 1, 28, 28)).astype(np.float32)
    page = jaxchain.contrast(CNN(), x).explorer().replace(str(Path(__file__).resolve()), "model.py")
    with tempfile.TemporaryDirectory() as folder:
        for name, script in PICTURES.items():
            file = Path(folder) / "page.html"
            file.write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += [f"--user-data-dir={folder}/profile", "--window-size=1500,900", f"--screenshot={HERE / name}"]
            subprocess.run([*command, file.as_uri()], check=True, capture_output=True, timeout=120)
            print(HERE / name)


if __name__ == "__main__":
    main()

"""Runs pages in a headless browser."""

import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
browser = pytest.mark.skipif(BROWSER is None, reason="no chromium here")


def run(page, script, tmp_path, width=1600):
    """Run a script in the page; return what it gave. The page raises no errors. Chromium's narrowest window is 500."""
    catch = "<script>window.errors=[];addEventListener('error',e=>errors.push(e.message))</script>"
    after = (
        "<script>(()=>{let r;try{r=(()=>{" + script + "})()}catch(e){errors.push(String(e))}"
        "const o=document.createElement('pre');o.id='result';"
        "o.textContent=encodeURIComponent(JSON.stringify([r===undefined?null:r,errors]));document.body.append(o)})()</script>"
    )
    file = tmp_path / "page.html"
    file.write_text(page.replace("<style>", catch + "<style>", 1).replace("</body>", after + "</body>"))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},950", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    result, errors = json.loads(unquote(re.search(r'<pre id="result">([^<]*)</pre>', dom).group(1)))
    assert errors == []
    return result

"""A notebook as a person uses it: cells are run, buttons clicked, tables read."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

#: Seconds for which anything is waited for, on a machine that has other things to do.
PATIENCE = 120.0
#: Of JupyterLab's cells, and of those in the classic notebook.
EDITOR = ".jp-CodeCell .cm-content, .code_cell .CodeMirror"


def until(condition, what, seconds=PATIENCE):
    """Wait until a condition holds, and give what it gives."""
    from selenium.common.exceptions import StaleElementReferenceException

    deadline = time.monotonic() + seconds
    while True:
        with suppress(StaleElementReferenceException):  # the page has drawn that anew in this moment
            if value := condition():
                return value
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(0.05)


class Page:
    """The page of a notebook.

    Attributes
    ----------
    driver
        Selenium's.
    """

    def __init__(self, driver):
        self.driver = driver

    def _find(self, css):
        """Give what is there now; the page may replace it at any time."""
        return self.driver.find_elements("css selector", css)

    def run_cell(self, number):
        """Run a cell, as soon as there is a kernel that has nothing else to do."""
        from selenium.webdriver import ActionChains, Keys

        until(self._ready, "a notebook that is drawn, with a kernel that is idle")
        self._find(EDITOR)[number].click()
        ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()

    def _ready(self):
        drawn = [editor for editor in self._find(EDITOR) if editor.is_displayed()]
        return drawn and ("| Idle" in self.text("#jp-main-statusbar") or self._find(".kernel_idle_icon"))

    def text(self, css):
        """Read its text; "" if it isn't there (yet)."""
        return "\n".join(element.text for element in self._find(css))

    def open_tab(self, name):
        """Open a tab of the widget."""

        def click():
            tabs = [tab for tab in self._find(".jobclusters [class*=TabBar-tab]") if tab.text.strip() == name]
            if tabs:
                tabs[0].click()
            return tabs

        until(click, f"the widget's tab {name}")

    def rows(self):
        """Read the table of jobs: a dictionary by the heads of its columns for each job."""
        read = """
            const table = document.querySelector('.jobclusters-jobs table');
            return table ? Array.from(table.rows, row => Array.from(row.cells, cell => cell.textContent)) : [];
        """
        head, *rows = self.driver.execute_script(read) or [[]]
        return [dict(zip(head, row, strict=True)) for row in rows]

    def enter(self, label, number):
        """Type a number into a field of the widget."""
        from selenium.webdriver import Keys

        (field,) = self.driver.find_elements(
            "xpath", f"//*[contains(@class,'jobclusters')]//label[text()='{label}']/..//input"
        )
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(str(number), Keys.TAB)

    def click(self, button):
        """Click a button of the widget."""
        self._find(f".jobclusters-{button}")[0].click()

    def dashboard(self):
        """Follow the link to the dashboard; give the answer's status and text."""
        follow = """
            fetch(document.querySelector('.jobclusters a').href)
                .then(async answer => arguments[0](`${answer.status} ${await answer.text()}`));
        """
        return self.driver.execute_async_script(follow)

    def value(self, label):
        """Read a field of the widget."""
        (field,) = self.driver.find_elements(
            "xpath", f"//*[contains(@class,'jobclusters')]//label[text()='{label}']/..//input"
        )
        return field.get_attribute("value")

    def scrolls(self):
        """Name the parts of the widget, and those around it, that have a horizontal scroll bar."""
        look = """
            const widget = document.querySelector('.jobclusters'), found = [];
            const around = [];
            for (let each = widget; each && !each.matches('.jp-Cell'); each = each.parentElement) around.push(each);
            for (const each of [...around, ...widget.querySelectorAll('*')])
                if (['auto', 'scroll'].includes(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth)
                    found.push(`${each.className}: ${each.scrollWidth} > ${each.clientWidth}`);
            return found;
        """
        return self.driver.execute_script(look)

    def picture(self, name, css):
        """Take a picture of a part of the page, where pictures are wanted."""
        directory = os.environ.get("JOBCLUSTERS_SCREENSHOTS")
        if directory:
            Path(directory).mkdir(exist_ok=True, parents=True)
            assert self._find(css)[0].screenshot(str(Path(directory, f"notebook-{name}.png")))

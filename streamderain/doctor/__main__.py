"""``python -m streamderain.doctor``: the doctor where even the command line can't start."""

import sys

from streamderain.doctor.report import consult

report = consult()
print(report.as_json() if "--json" in sys.argv[1:] else report.as_text())
sys.exit(report.exit_code)

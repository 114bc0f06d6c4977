# SPDX-License-Identifier: MIT

"""What run.py and fibers.py share: machine, processes, servers, scenarios, evaluation."""

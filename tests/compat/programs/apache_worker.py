# SPDX-License-Identifier: Apache-2.0
# packages: apache2 curl
import apache

TITLE = "Apache (worker)"
WHAT = apache.WHAT
TIMEOUT = 180


def run(c):
    apache.run(c, "worker")

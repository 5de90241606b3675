# SPDX-License-Identifier: Apache-2.0
"""Staged migration as its operator sees it: counts that survive the daemon, the report's verdict, modes that change at
run time and come back.
"""

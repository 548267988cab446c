"""The paper's claims, each decided by a rule.

A claim is declared once, above the function that decides it (`dpg.report.claims.claim`). Its rule and thresholds follow
from the paper's text, and no outcome chose or changed one: a threshold is a number with a meaning of its own (noise
equals signal, half an order of magnitude), never one that a table suggested.
"""

"""The paper's claims, each decided by a rule that was fixed from the paper's text."""

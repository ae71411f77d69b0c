"""The ledger: lines of what was used and what it cost, and what they add up to."""

"""Sensors send samples over TCP to a collector, which sums them up in a report."""

"""Segments: a safe tree of rules, checked, said in words, and turned into one filter over subscriptions."""

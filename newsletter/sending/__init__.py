"""The steps from an approved issue to known outcomes: freeze, address, batch, post, finish.

Each step does a bounded piece of work in short transactions and says whether there is more. The database is the
truth; killing a process between any two lines loses and repeats nothing.
"""

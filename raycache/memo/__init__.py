"""Memoized functions: their results shared by every process of the cluster, keyed by code and arguments.

A memoized function is a group whose entries lie in a pool that all of them share. A key is the fingerprint of the
function's code and that of the arguments; how to compute it comes along with the question.
"""

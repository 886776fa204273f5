"""Benchmarks of component swaps: the same training with one part changed, over several seeds.

`definition` reads what is to be compared, `cells` turns it into runs, `jobs` is what an executor is
given, `rehearsal` checks and measures each variant, `preparing` settles it all, `results` says what came out.
"""

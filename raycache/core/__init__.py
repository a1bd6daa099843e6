"""The cache without Ray: pure logic, its clock, messages and shared memory given from outside."""

"""What a policy is (contract, graph, bundle) and how it learns."""

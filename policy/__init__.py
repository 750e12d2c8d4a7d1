"""What may be sent and what is chosen: catalog, eligibility, policies, registry."""

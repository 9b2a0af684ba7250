"""Business rules of the second-opinion case, checked in the transaction that would break them."""

"""Authorization server: SMART App Launch 2.2, Backend Services, token exchange, local accounts."""

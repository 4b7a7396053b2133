"""Coupons: what an offer is worth on a basket, who gets it within which budget, and the wallet that keeps the books."""

"""What editors read of sends: counts of their deliveries, and the reasons behind them."""

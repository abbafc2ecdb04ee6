"""The pages of subscribers: sign up, confirm, pause, unsubscribe."""

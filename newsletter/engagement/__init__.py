"""Opens and clicks: signed links, hits as they come, and the rules that tell humans from machines."""

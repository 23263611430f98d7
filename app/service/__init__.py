"""Customer service: who handles a message, scripted tasks, people, catalogues, and the company's own sites."""

"""Which handler a message goes to. Begin with `app.service.routing.router`.

router ──> signals                        what a message says outright: I want a person, I was hurt
       └─> trained ──> classifier ──> wording   what it is about, learnt from examples
                  ├──> examples           those of a knowledge base (SQL), or the built-in ones (intents.yaml)
                  └──> manuals            what its documents speak of (SQL): no intent's
intent_work, intents_api                  examples over HTTP
"""

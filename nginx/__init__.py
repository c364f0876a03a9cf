"""Analyse what an nginx configuration does with its upstream connections.

| Question | Where |
|---|---|
| How is a configuration read? | `loading/` (files), `lexer`, `tree`, `templates` |
| What is in force in a location? | `model`, `inheritance`, `variables`, `targets`, `upstreams` |
| Are its connections reused? | `verdict`, `upstream_request` |
| What is wrong, and how is a rule added? | `rules/` (a module per subject; see there) |
| How are both shown? | `check` (the entry point), `finding`, `report/` |
| How is a configuration edited? | `fix/` |
| How is one made? | `render` (from settings), `serializer` (from directives), `conf/` (examples) |
"""

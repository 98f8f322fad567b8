"""Writers: a `Graph` to text, DOT, JSON or an image. They import `views.model` and nothing else of ours."""

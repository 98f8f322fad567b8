"""Programs and models of other libraries: Chainer's programs run unchanged."""

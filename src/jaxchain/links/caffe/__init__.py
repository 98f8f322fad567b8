"""Models that Caffe wrote: read from a caffemodel file, and run layer by layer."""

from jaxchain.links.caffe.caffe_function import CaffeFunction as CaffeFunction

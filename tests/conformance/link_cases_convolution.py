"""Rows for links: convolutions of all dimensions and kinds, and blocks of them. See link_cases.py."""

from link_cases import IMAGES, VECTORS, case, floats

LINES = floats(21, 2, 4, 7)
VOLUMES = floats(22, 2, 2, 4, 5, 3)

CASES = [
    case("convolution_1d", lambda L: L.Convolution1D(4, 3, 3, pad=1), (LINES,)),
    case("convolution_1d_lazy", lambda L: L.Convolution1D(None, 6, 2, 2, nobias=True, cover_all=True), (LINES,)),
    case("convolution_1d_groups", lambda L: L.Convolution1D(4, 6, 3, dilate=2, groups=2), (LINES,)),
    case("convolution_3d", lambda L: L.Convolution3D(2, 3, (2, 3, 1), stride=(1, 2, 1), pad=1), (VOLUMES,)),
    case("convolution_3d_lazy", lambda L: L.Convolution3D(None, 2, 2, initial_bias=0.5), (VOLUMES,)),
    case("convolution_nd", lambda L: L.ConvolutionND(2, 4, 3, 3, pad=(1, 0)), (IMAGES,)),
    case("convolution_nd_short", lambda L: L.ConvolutionND(3, 4, 2), (VOLUMES,)),
    case("deconvolution_1d", lambda L: L.Deconvolution1D(4, 3, 3, stride=2), (LINES,)),
    case("deconvolution_1d_lazy", lambda L: L.Deconvolution1D(None, 2, 4, 2, 1, nobias=True), (LINES,)),
    case("deconvolution_3d", lambda L: L.Deconvolution3D(2, 3, 2, stride=(2, 1, 1), outsize=(8, 6, 4)), (VOLUMES,)),
    case("deconvolution_nd", lambda L: L.DeconvolutionND(2, 4, 6, 3, pad=1, groups=2), (IMAGES,)),
    case("deconvolution_nd_dilate", lambda L: L.DeconvolutionND(1, None, 3, 2, dilate=2), (LINES,)),
    case("depthwise_convolution_2d", lambda L: L.DepthwiseConvolution2D(4, 2, 3, pad=1), (IMAGES,)),
    case("depthwise_convolution_2d_lazy", lambda L: L.DepthwiseConvolution2D(None, 1, (2, 3), 2), (IMAGES,)),
    case("depthwise_convolution_2d_nobias", lambda L: L.DepthwiseConvolution2D(4, 3, 2, nobias=True), (IMAGES,)),
    case("dilated_convolution_2d", lambda L: L.DilatedConvolution2D(4, 3, 2, dilate=2), (IMAGES,)),
    case("dilated_convolution_2d_lazy", lambda L: L.DilatedConvolution2D(3, 2, pad=(1, 2), nobias=True), (IMAGES,)),
    case("deformable_convolution_2d", lambda L: L.DeformableConvolution2D(4, 3, 3, pad=1), (IMAGES,)),
    case(
        "deformable_convolution_2d_lazy",
        lambda L: L.DeformableConvolution2D(None, 2, 2, stride=2, offset_nobias=True, deform_nobias=True),
        (IMAGES,),
    ),
    case("local_convolution_2d", lambda L: L.LocalConvolution2D(4, 3, (6, 5), 3), (IMAGES,)),
    case("local_convolution_2d_lazy", lambda L: L.LocalConvolution2D(None, 2, ksize=(3, 2)), (IMAGES,)),
    case("local_convolution_2d_nobias", lambda L: L.LocalConvolution2D(4, 2, None, 2, nobias=True), (IMAGES,)),
    case("bilinear", lambda L: L.Bilinear(4, 3, 2), (VECTORS, floats(23, 5, 3))),
    case("bilinear_nobias", lambda L: L.Bilinear(4, 3, 2, True), (VECTORS, floats(23, 5, 3))),
    case("bilinear_flat", lambda L: L.Bilinear(6, 4, 3, initial_bias=(1.0, 0.5, 2.0)), (floats(24, 5, 2, 3), VECTORS)),
    case("mlp_convolution_2d", lambda L: L.MLPConvolution2D(4, (3, 5, 2), 3, pad=1), (IMAGES,)),
    case("mlp_convolution_2d_lazy", lambda L: L.MLPConvolution2D((3, 2), 2, stride=2), (IMAGES,)),
    case("inception", lambda L: L.Inception(4, 2, 3, 4, 1, 2, 3), (IMAGES,)),
    case("inception_lazy", lambda L: L.Inception(None, 1, 1, 2, 2, 1, 1, bias_init=0.1), (IMAGES,)),
    case("inception_bn", lambda L: L.InceptionBN(4, 2, 3, 4, 1, 2, "avg", 3), (IMAGES,)),
    case("inception_bn_max", lambda L: L.InceptionBN(None, 0, 2, 3, 1, 2, "max", stride=2), (IMAGES,)),
    case("inception_bn_proj", lambda L: L.InceptionBN(4, 0, 3, 2, 2, 3, "max", 2, stride=2), (IMAGES,)),
]

from i2i.layouts import Layout, Make, size_along


def make(shapes):
    return Make(
        {"width": size_along(shapes, "enc.weight", 0)},
        {
            "in_channels": size_along(shapes, "enc.weight", 1),
            "out_channels": size_along(shapes, "dec.weight", 1),
        },
        rename=lambda ours: ours.replace("down.", "enc.").replace("up.", "dec."),
    )


def claims(shapes):
    return "enc.weight" in shapes


NET = Layout("two-convolution net", "generator", "sound/net", claims, make)

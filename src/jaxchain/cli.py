"""The command line: `jaxchain contrast`, `view`, `export`, `run-exported`, `run`, `demo`, `--version`.

A user's mistake is one line on stderr and exit code 2; modes that disagree are exit code 1. A traceback means a bug of
ours or an error inside the user's own program, which is shown as such.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import traceback
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxchain.targets import UsageError, call_arguments, load

FORMATS = ("dot", "svg", "png", "html", "json", "text", "mermaid", "model-explorer", "tensorboard", "stablehlo")
OK, DISAGREE, USAGE = 0, 1, 2


class ProgramError(Exception):
    """An error inside the user's own program, its cause here."""

    def show(self) -> None:
        """Print what failed, the cause, and the lines of the program that led to it."""
        from jaxchain.core.errors import library_files

        cause = self.__cause__
        assert cause is not None
        own = os.path.dirname(os.path.abspath(__file__)) + os.sep
        frames = [
            frame
            for frame in traceback.extract_tb(cause.__traceback__)
            if not frame.filename.startswith(("<", own))
            and not library_files[frame.filename]
            and "site-packages" not in frame.filename
        ]
        print(f"jaxchain: {self}\n{type(cause).__name__}: {cause}", file=sys.stderr)
        for frame in frames[-5:]:
            if f"at {frame.filename}:{frame.lineno}, in" not in str(cause):  # which may say it itself
                print(f"  at {frame.filename}:{frame.lineno}, in {frame.name}: {frame.line}", file=sys.stderr)


class Input(NamedTuple):
    """One argument of the model: shape, dtype, and for integers the bound they are drawn below."""

    shape: tuple[int, ...]
    dtype: np.dtype
    high: int

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return random values: normal, integers below `high`, or coin flips."""
        if self.dtype.kind in "iu":
            return rng.integers(0, self.high, self.shape).astype(self.dtype)
        if self.dtype.kind == "b":
            return rng.integers(0, 2, self.shape).astype(bool)
        return rng.standard_normal(self.shape).astype(self.dtype)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Its arguments; the process's own by default.

    Returns:
        The exit code: 0, 1 if the modes disagree, 2 after a user's mistake.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        if argv[:1] == ["demo"]:  # its options are its own
            return _demo(argv[1:])
        if argv[:1] == ["run"]:  # the rest is the script's
            return _run(argv[1:])
        options = _parser().parse_args(argv)
        return options.run(options)
    except UsageError as error:
        print(f"jaxchain: {error}", file=sys.stderr)
        return USAGE
    except ProgramError as error:
        error.show()
        return USAGE
    except SystemExit as stop:  # argparse has printed what was wrong
        return stop.code if isinstance(stop.code, int) else USAGE
    except KeyboardInterrupt:
        print("jaxchain: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # e.g. | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def version() -> str:
    """Return the installed version of jaxchain."""
    try:
        return importlib.metadata.version("jaxchain")
    except importlib.metadata.PackageNotFoundError:
        return "unknown (not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxchain", description="Define-by-run models on JAX, compiled by one switch."
    )
    parser.add_argument("--version", action="version", version=f"jaxchain {version()}")
    commands = parser.add_subparsers(required=True, metavar="command", title="commands")
    model = _model_options()
    _contrast_command(commands, model)
    _view_command(commands, model)
    _export_command(commands, model)
    _run_exported_command(commands)
    demo = commands.add_parser(
        "demo", help="train an MLP and a CNN in both modes on real data (jaxchain demo --help)", add_help=False
    )
    demo.set_defaults(run=lambda options: _demo([]))
    commands.add_parser(
        "run", help="run a program written for Chainer, untouched (jaxchain run --help)", add_help=False
    )
    return parser


def _model_options() -> argparse.ArgumentParser:
    """Return what every command takes that makes a model."""
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument("target", help="file.py:Name or pkg.mod:Name; a class is instantiated")
    model.add_argument(
        "--input",
        action="append",
        default=[],
        type=_input,
        metavar="SHAPE[,DTYPE[:HIGH]]",
        help="a random argument: 32,784 or 32,int32:10 (integers below 10; 2 by default); a scalar is just its dtype. "
        "Repeat it for further arguments",
    )
    model.add_argument(
        "--args", default="", metavar="ARGS", help="arguments of the class, Python literals: '784, n_out=10'"
    )
    model.add_argument("--seed", type=int, default=0, help="seed of parameters, inputs and random draws (default 0)")
    return model


def _contrast_command(commands: Any, model: argparse.ArgumentParser) -> None:
    contrast = commands.add_parser(
        "contrast",
        parents=[model],
        help="run a model in eager and in static mode and compare results, times and sizes",
        description="Run a model in eager and in static mode, print what differs and what each costs.",
        epilog="Example: jaxchain contrast model.py:MLP --args '100, 10' --input 32,784 --out views",
    )
    contrast.add_argument("--out", type=Path, metavar="DIR", help="folder to save the report and the views in")
    contrast.add_argument("--repeats", type=_positive, default=30, help="timed calls of each kind (default 30)")
    contrast.add_argument(
        "--rtol", type=float, default=1e-4, help="largest relative difference that counts as equal (default 1e-4)"
    )
    contrast.add_argument("--no-gradients", action="store_true", help="compare the forward call only")
    contrast.add_argument("--test", action="store_true", help="with config.train False")
    contrast.set_defaults(run=_contrast)


def _view_command(commands: Any, model: argparse.ArgumentParser) -> None:
    view = commands.add_parser(
        "view",
        parents=[model],
        help="draw the graph of a model in eager mode, in static mode, or both",
        description="Draw the eager graph, the jaxpr and the HLO of a model; html is the explorer, with all three.",
        epilog="Example: jaxchain view model.py:MLP --args '100, 10' --input 32,784 --out views --format svg,html",
    )
    view.add_argument("--mode", choices=("eager", "static", "both"), default="both", help="which graphs (default both)")
    view.add_argument("--out", type=Path, metavar="DIR", help="folder for the files; without it text is printed")
    view.add_argument(
        "--format", type=_formats, default=["text"], metavar="LIST", help=f"of {','.join(FORMATS)} (default text)"
    )
    view.add_argument("--test", action="store_true", help="with config.train False")
    view.set_defaults(run=_view)


def _export_command(commands: Any, model: argparse.ArgumentParser) -> None:
    export = commands.add_parser(
        "export",
        parents=[model],
        help="write a model and its weights as one file that runs without the model's code",
        description="Export a model as StableHLO for several platforms, with its weights, in one file.",
        epilog="Example: jaxchain export model.py:MLP --input 1,784 --weights mlp.npz --out mlp.jaxchain",
    )
    export.add_argument("--weights", type=Path, metavar="NPZ", help="load these parameters first (save_npz)")
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    export.add_argument("--platforms", default="cpu,cuda,tpu", metavar="LIST", help="default cpu,cuda,tpu")
    export.add_argument(
        "--batch", choices=("symbolic", "fixed"), default="symbolic", help="whether the first axis may have any size"
    )
    export.add_argument("--vjp-order", type=int, default=0, metavar="N", help="how often it can be differentiated")
    export.add_argument("--train", action="store_true", help="with config.train True")
    export.set_defaults(run=_export)


def _run_exported_command(commands: Any) -> None:
    exported = commands.add_parser(
        "run-exported",
        help="run an exported program, or say what it takes",
        description="Run an exported program on arrays; without --input, say what it is.",
        epilog="Example: jaxchain run-exported mlp.jaxchain --input x.npy --out y.npz",
    )
    exported.add_argument("file", type=Path, help="what jaxchain export wrote")
    exported.add_argument(
        "--input",
        action="append",
        default=[],
        type=_array,
        metavar="FILE.npy|SHAPE[,DTYPE[:HIGH]]",
        help="an argument: an array of a file, or random values",
    )
    exported.add_argument("--out", type=Path, metavar="NPZ", help="write the results here")
    exported.add_argument("--seed", type=int, default=0, help="seed of random values (default 0)")
    exported.set_defaults(run=_run_exported)


def _formats(text: str) -> list[str]:
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    wrong = [part for part in found if part not in FORMATS]
    if wrong or not found:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}: expected some of {','.join(FORMATS)}")
    return found


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text}")
    return value


def _input(text: str) -> Input:
    """Read ``32,784``, ``32,784,float16``, ``32,int32:10``, ``float32``."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    dtype, high = np.dtype(np.float32), 2
    if parts and not parts[-1].isdigit():
        name, _, bound = parts.pop().partition(":")
        try:
            dtype = _dtype(name)
            high = int(bound) if bound else high
        except (TypeError, ValueError):
            raise argparse.ArgumentTypeError(
                f"cannot read {text!r}: expected SHAPE[,DTYPE[:HIGH]], such as 32,784 or 32,int32:10"
            ) from None
        if high < 1 or (bound and dtype.kind not in "iu"):
            raise argparse.ArgumentTypeError(
                f"cannot read {text!r}: a bound is a number from 1, after an integer dtype"
            )
        if dtype.kind not in "iubfVc":
            raise argparse.ArgumentTypeError(f"cannot read {text!r}: {name} is no dtype of numbers")
    elif not parts:
        raise argparse.ArgumentTypeError("an empty shape: a scalar is written as its dtype, such as float32")
    if not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"cannot read {text!r}: sizes are whole numbers, such as 32,784")
    return Input(tuple(map(int, parts)), dtype, high)


def _array(text: str) -> np.ndarray | Input:
    """Read the array of a file, or a shape of random values."""
    if not text.endswith(".npy"):
        return _input(text)
    try:
        return np.load(text, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}: {error}") from None


def _dtype(name: str) -> np.dtype:
    import jax.numpy as jnp

    if name == "bfloat16":  # NumPy does not know it
        return jnp.dtype(jnp.bfloat16)
    if name not in np.sctypeDict or len(name) < 3:  # "f" and "i4" are too easy to get wrong
        raise TypeError(name)
    return np.dtype(name)


def _model_and_inputs(options: argparse.Namespace) -> tuple[Any, list[np.ndarray]]:
    """Load and make the model that the options name, and draw its arguments."""
    import jaxchain

    jaxchain.seed(options.seed)
    np.random.seed(options.seed % 2**32)
    positional, keywords = call_arguments(options.args)
    try:
        model = load(options.target)
    except UsageError:
        raise
    except Exception as error:
        raise ProgramError(f"{options.target}: loading it failed") from error
    jaxchain.seed(options.seed)  # again: whatever the file drew while it was loaded does not count
    if isinstance(model, type):
        try:
            inspect.signature(model).bind(*positional, **keywords)
        except TypeError as error:
            raise UsageError(f"{options.target}: {error} (its arguments go into --args)") from None
        except ValueError:
            pass
        try:
            model = model(*positional, **keywords)
        except Exception as error:
            raise ProgramError(f"{options.target}: making it failed") from error
    elif positional or keywords:
        raise UsageError(f"--args is for classes, and {options.target} is not one")
    if not callable(model):
        raise UsageError(f"{options.target} is {type(model).__name__}, which cannot be called")
    rng = np.random.default_rng(options.seed)
    return model, [given.draw(rng) for given in options.input]


@contextlib.contextmanager
def _stages() -> Iterator[None]:
    """Show what long work is doing, in a terminal."""
    from tqdm import tqdm

    from jaxchain.views import progress

    with (
        tqdm(bar_format="{desc} ... {elapsed}", file=sys.stderr, leave=False, disable=None) as line,
        progress.watched(line.set_description_str),
    ):
        yield


def _check_is_folder(path: Path | None) -> None:
    if path is not None and path.exists() and not path.is_dir():
        raise UsageError(f"--out {path} is a file, not a folder")


def _contrast(options: argparse.Namespace) -> int:
    import jaxchain
    from jaxchain.contrast import contrast

    _check_is_folder(options.out)
    model, inputs = _model_and_inputs(options)
    try:
        with _stages(), jaxchain.using_config("train", not options.test):
            report = contrast(model, *inputs, repeats=options.repeats, gradients=not options.no_gradients)
    except Exception as error:
        raise ProgramError(f"{options.target}: calling it on {_types(inputs)} failed") from error
    print(report)
    if options.out is not None:
        told = len(report.notes)
        try:
            with _stages():
                report.save(options.out)
        except OSError as error:
            raise UsageError(f"--out {options.out}: {error.strerror or error}") from None
        print(f"\nsaved in {options.out.resolve()}", *(f"note: {note}" for note in report.notes[told:]), sep="\n")
    if not report.agrees(options.rtol):
        print(
            f"jaxchain: the modes differ by {report.largest_relative_difference:.2g} (relative), "
            f"more than --rtol {options.rtol:g}",
            file=sys.stderr,
        )
        return DISAGREE
    return OK


def _types(inputs: Sequence[np.ndarray]) -> str:
    """Return what a model was called on, for messages."""
    return ", ".join(f"{x.dtype}[{','.join(map(str, x.shape))}]" for x in inputs) or "no arguments (see --input)"


def _view(options: argparse.Namespace) -> int:
    import jaxchain
    from jaxchain.views.show import show
    from jaxchain.views.writers import image, tensorboard

    _check_is_folder(options.out)
    if options.out is None and options.format != ["text"]:
        raise UsageError(f"--format {','.join(options.format)} writes files: name their folder with --out")
    for kind in ("html", "stablehlo"):
        if options.mode == "eager" and kind in options.format:
            raise UsageError(f"--format {kind} shows the program of static mode: give --mode static or both")
    for kind in options.format:  # before anything is compiled
        try:
            if kind in image.FORMATS:
                image.find_renderer()
            if kind == "tensorboard":
                tensorboard.find_package()
        except (image.RenderError, ImportError) as error:
            raise UsageError(f"--format {kind}: {error}") from None
    model, inputs = _model_and_inputs(options)
    try:
        with _stages(), jaxchain.using_config("train", not options.test):
            views = show(model, *inputs, mode=options.mode)
    except jaxchain.core.errors.StaticError as error:
        raise ProgramError(f"{options.target}: it cannot be compiled; --mode eager draws what runs") from error
    except Exception as error:
        raise ProgramError(f"{options.target}: calling it on {_types(inputs)} failed") from error
    if options.out is None:
        print(views)
        return OK
    try:
        with _stages():
            written = views.save(options.out, options.format)
        for path in written:
            print(path)
    except (OSError, image.RenderError) as error:
        raise UsageError(f"--out {options.out}: {error}") from None
    return OK


def _export(options: argparse.Namespace) -> int:
    import jaxchain

    if options.out.is_dir() or not options.out.absolute().parent.is_dir():
        raise UsageError(f"--out {options.out}: not a file in an existing folder")
    model, inputs = _model_and_inputs(options)
    if options.weights is not None:
        try:
            jaxchain.serializers.load_npz(options.weights, model)
        except (OSError, zipfile.BadZipFile, LookupError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"--weights {options.weights}: {error}") from None
    try:
        exported = jaxchain.export(
            model,
            *inputs,
            platforms=[p.strip() for p in options.platforms.split(",")],
            batch=options.batch,
            vjp_order=options.vjp_order,
            train=options.train,
        )
        exported.save(options.out)
    except (jaxchain.ExportError, ImportError, OSError) as error:
        raise UsageError(str(error)) from None
    except Exception as error:
        raise ProgramError(f"{options.target}: exporting it failed") from error
    print(f"{exported.describe()}\nsaved in {options.out.resolve()} ({options.out.stat().st_size:,} bytes)")
    return OK


def _run_exported(options: argparse.Namespace) -> int:
    import jaxchain
    from jaxchain.serializers.files import write_whole

    try:
        exported = jaxchain.load_exported(options.file)
    except (jaxchain.ExportError, ImportError, OSError) as error:
        raise UsageError(str(error)) from None
    if not options.input and options.out is None:
        print(exported.describe())
        return OK
    rng = np.random.default_rng(options.seed)
    arrays = [given.draw(rng) if isinstance(given, Input) else given for given in options.input]
    try:
        results = exported.run(arrays)
    except (TypeError, jaxchain.ExportError) as error:
        raise UsageError(str(error)) from None
    for name, array in results.items():
        print(f"{name}: {array.dtype}{list(array.shape)}\n{array}")
    if options.out is not None:
        try:
            write_whole(options.out, lambda file: np.savez(file, **results))
        except OSError as error:
            raise UsageError(f"--out {options.out}: {error.strerror or error}") from None
        print(f"saved in {options.out.resolve()}")
    return OK


def _run(argv: Sequence[str]) -> int:
    from jaxchain.interop.run import RunError, main

    try:
        return main(argv)
    except RunError as error:
        raise UsageError(str(error)) from None


def _demo(argv: list[str]) -> int:
    from jaxchain import demo

    try:
        return demo.main(argv)
    except ModuleNotFoundError as error:
        raise UsageError(f"demo: {error.msg}; pip install 'jaxchain[examples]' has all that it needs") from None


if __name__ == "__main__":
    sys.exit(main())

"""Extensions: evaluation, logs, plots, snapshots, schedules and checks."""

from jaxchain.training.extensions.evaluator import Evaluator as Evaluator
from jaxchain.training.extensions.graph import DumpGraph as DumpGraph
from jaxchain.training.extensions.graph import DumpGraph as dump_graph
from jaxchain.training.extensions.log_report import LogReport as LogReport
from jaxchain.training.extensions.observation import FailOnNonNumber as FailOnNonNumber
from jaxchain.training.extensions.observation import MicroAverage as MicroAverage
from jaxchain.training.extensions.observation import observe_lr as observe_lr
from jaxchain.training.extensions.observation import observe_value as observe_value
from jaxchain.training.extensions.observation import unchain_variables as unchain_variables
from jaxchain.training.extensions.plot_report import PlotReport as PlotReport
from jaxchain.training.extensions.print_report import PrintReport as PrintReport
from jaxchain.training.extensions.progress_bar import ProgressBar as ProgressBar
from jaxchain.training.extensions.shifts import ExponentialShift as ExponentialShift
from jaxchain.training.extensions.shifts import InverseShift as InverseShift
from jaxchain.training.extensions.shifts import LinearShift as LinearShift
from jaxchain.training.extensions.shifts import MultistepShift as MultistepShift
from jaxchain.training.extensions.shifts import PolynomialShift as PolynomialShift
from jaxchain.training.extensions.shifts import StepShift as StepShift
from jaxchain.training.extensions.shifts import WarmupShift as WarmupShift
from jaxchain.training.extensions.snapshot import snapshot as snapshot
from jaxchain.training.extensions.snapshot import snapshot_object as snapshot_object
from jaxchain.training.extensions.statistics import ParameterStatistics as ParameterStatistics
from jaxchain.training.extensions.variable_statistics_plot import VariableStatisticsPlot as VariableStatisticsPlot

__all__ = [
    "DumpGraph",
    "Evaluator",
    "ExponentialShift",
    "FailOnNonNumber",
    "InverseShift",
    "LinearShift",
    "LogReport",
    "MicroAverage",
    "MultistepShift",
    "ParameterStatistics",
    "PlotReport",
    "PolynomialShift",
    "PrintReport",
    "ProgressBar",
    "StepShift",
    "VariableStatisticsPlot",
    "WarmupShift",
    "dump_graph",
    "observe_lr",
    "observe_value",
    "snapshot",
    "snapshot_object",
    "unchain_variables",
]

"""Views: the eager graph, the jaxpr and the HLO of one model, as one kind of graph.

`readers` turn each into a `Graph` (views/model.py), `writers` turn a `Graph` into DOT, SVG, PNG, JSON or text. Users
call what is imported here: `jaxpr`, `hlo`, `build_computational_graph`.
"""

from jaxchain.views.computational_graph import ComputationalGraph as ComputationalGraph
from jaxchain.views.computational_graph import build_computational_graph as build_computational_graph
from jaxchain.views.model import Cluster as Cluster
from jaxchain.views.model import Edge as Edge
from jaxchain.views.model import Graph as Graph
from jaxchain.views.model import Node as Node
from jaxchain.views.programs import HloView as HloView
from jaxchain.views.programs import JaxprView as JaxprView
from jaxchain.views.programs import hlo as hlo
from jaxchain.views.programs import jaxpr as jaxpr
from jaxchain.views.writers.image import RenderError as RenderError

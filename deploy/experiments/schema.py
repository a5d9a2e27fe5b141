"""The JSON Schema of experiment.yaml, for editors: made from the models, shipped as a file.

python -m deploy.experiments.schema        writes it again, after a change of the models
"""

from pathlib import Path

from deploy.experiments.plan import Experiment
from flywheel.schema import Shipped

PATH = Path(__file__).with_name("experiment.schema.json")
EXPERIMENT = Shipped("experiment", Experiment, head="", entry="NAME")

if __name__ == "__main__":
    PATH.write_text(EXPERIMENT.text())

"""Metrics: what is reported along with the loss, streamed over batches. One idea a file."""

from fnn.metrics.accuracy import Accuracy as Accuracy
from fnn.metrics.accuracy import MultiLabelAccuracy as MultiLabelAccuracy
from fnn.metrics.accuracy import TopKAccuracy as TopKAccuracy
from fnn.metrics.area import AUC as AUC
from fnn.metrics.class_score import F1 as F1
from fnn.metrics.class_score import Precision as Precision
from fnn.metrics.class_score import Recall as Recall
from fnn.metrics.confusion import ConfusionMatrix as ConfusionMatrix
from fnn.metrics.metric import Metric as Metric
from fnn.metrics.metric import ratio as ratio
from fnn.metrics.of import Of as Of
from fnn.metrics.perplexity import Perplexity as Perplexity
from fnn.metrics.r2 import R2 as R2

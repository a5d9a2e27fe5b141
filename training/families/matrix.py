"""First steps of scikit-learn pipelines on the encoded matrix, by column index; all of them convert to ONNX."""

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Binarizer, OneHotEncoder, StandardScaler

from training.data.dataset import Columns

NO_CODE = -1.0
# Stands for "missing" where a step tells missing numbers from others: features are checked to be smaller in size.
BEYOND = 3.4e38


def one_hot_and_scaled(columns: Columns) -> ColumnTransformer:
    """Make one 0/1 column a category (and one for "no value"), and standardised numbers with 0/1 for "missing"."""
    codes = [index for index, is_category in enumerate(columns.is_category) if is_category]
    numbers = [index for index, is_category in enumerate(columns.is_category) if not is_category]
    parts = []
    if codes:
        known = [[NO_CODE, *map(float, range(len(columns.categories[index] or ())))] for index in codes]
        encoder = OneHotEncoder(categories=known, handle_unknown="ignore")
        parts.append(("codes", Pipeline([("missing", _constant(NO_CODE)), ("columns", encoder)]), codes))
    if numbers:
        middle = SimpleImputer(strategy="median", keep_empty_features=True)
        parts.append(("numbers", Pipeline([("missing", middle), ("scale", StandardScaler())]), numbers))
        # Not add_indicator and not MissingIndicator: skl2onnx converts neither.
        flags = Pipeline([("missing", _constant(BEYOND)), ("flag", Binarizer(threshold=BEYOND * 0.99))])
        parts.append(("missing", flags, numbers))
    return ColumnTransformer(parts)


def missing_beyond() -> SimpleImputer:
    """Put missing values beyond all others, so that one split of a tree tells them apart."""
    return _constant(-BEYOND)


def _constant(value: float) -> SimpleImputer:
    return SimpleImputer(strategy="constant", fill_value=value, keep_empty_features=True)

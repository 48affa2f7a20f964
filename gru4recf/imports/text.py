"""Texts as dense vectors: TF-IDF, reduced to a few dimensions by a truncated singular value decomposition (LSA).

Words are runs of letters and digits in lower case. weight(word, text) = (1 + ln tf) * (1 + ln((1 + n) / (1 + df))), and
texts are scaled to length 1; words of a single text and of more than half of the texts are left out. With more words
than dimensions, the weights are projected on the leading right singular vectors and scaled to length 1 again.

Source: Deerwester et al., "Indexing by latent semantic analysis", JASIS 1990.
"""

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.linalg import svds

WORD = r"[^\W_]{2,}"
MAX_WORDS = 5000
N_DIMENSIONS = 64
COMMON = 0.5


def text_vectors(texts: pd.Series, n_dimensions: int = N_DIMENSIONS) -> list[np.ndarray | None]:
    """Return one float32 vector per text; None for a text without a known word.

    Args:
        texts: strings; a missing one is empty.
        n_dimensions: length of the vectors; it is smaller where there are fewer words.
    """
    weights = tf_idf(texts)
    if weights.shape[1] == 0:
        return [None] * len(texts)
    if weights.shape[1] > n_dimensions and min(weights.shape) > n_dimensions + 1:
        dense = _reduced(weights, n_dimensions)
    else:
        dense = weights.toarray()[:, :n_dimensions]
    length = np.linalg.norm(dense, axis=1)
    known = length > 1e-9
    dense[known] /= length[known, None]
    return [row if is_known else None for row, is_known in zip(dense.astype(np.float32), known, strict=True)]


def tf_idf(texts: pd.Series) -> sparse.csr_array:
    """Return (n_texts, n_words) weights; the most frequent words first, equally frequent ones by the alphabet."""
    words = texts.reset_index(drop=True).str.lower().str.findall(WORD).explode().dropna()
    counts = words.groupby([words.index, words]).size()
    found = pd.Series(counts.index.get_level_values(1))
    n_texts = len(texts)
    frequency = found.value_counts()
    frequency = frequency[(frequency > 1) & (frequency <= max(COMMON * n_texts, 2))]
    frequency = frequency.sort_index().sort_values(ascending=False, kind="stable")[:MAX_WORDS]
    column = frequency.index.get_indexer(found)
    keep = column >= 0
    value = (1 + np.log(counts.to_numpy())) * (1 + np.log((1 + n_texts) / (1 + found.map(frequency).to_numpy())))
    places = (counts.index.get_level_values(0).to_numpy()[keep], column[keep])
    weights = sparse.csr_array((value[keep], places), shape=(n_texts, len(frequency)))
    length = np.sqrt(weights.multiply(weights).sum(axis=1))
    return sparse.csr_array(weights.multiply(1 / np.where(length > 0, length, 1)[:, None]))


def _reduced(weights: sparse.csr_array, n_dimensions: int) -> np.ndarray:
    """Project on the leading singular vectors; start and signs are fixed: the same texts give the same vectors."""
    start = np.ones(min(weights.shape))
    _, strength, words = svds(weights, k=n_dimensions, v0=start)
    words = words[np.argsort(-strength)]
    largest = np.abs(words).argmax(axis=1)
    signs = np.sign(words[np.arange(len(words)), largest])
    return weights @ (words * signs[:, None]).T

"""A causal model that is asked one text at a time, in float64: what lm_eval's batches have to give."""

import math
from contextlib import contextmanager

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


class Plain:
    """One forward pass per text, without padding, batches or a cache."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()

    @torch.inference_mode()
    def log_p(self, context, text):
        """Log-probabilities of all tokens where those of `text` stand, `(tokens, vocabulary)`, and its tokens."""
        before = len(self.tokenizer(context.rstrip(" "))["input_ids"])
        ids = torch.tensor(self.tokenizer(context + text)["input_ids"])
        return self.model(ids[None]).logits[0, before - 1 : -1].log_softmax(-1), ids[before:]

    def log_likelihood(self, context, text):
        log_p, tokens = self.log_p(context, text)
        return log_p.gather(1, tokens[:, None]).sum().item()

    def probability(self, context, text):
        """The geometric mean over the tokens."""
        return math.exp(self.log_likelihood(context, text) / len(self.log_p(context, text)[1]))

    def rank(self, context, text):
        log_p, tokens = self.log_p(context, text)
        return 1 + sorted(log_p[0].tolist(), reverse=True).index(log_p[0, tokens[0]].item())

    @torch.inference_mode()
    def greedy(self, prompt, tokens):
        """Up to `tokens` new tokens, each the likeliest, as text. It ends before the end of the sequence."""
        ids = self.tokenizer(prompt)["input_ids"]
        before = len(ids)
        while len(ids) < before + tokens:
            best = self.model(torch.tensor([ids])).logits[0, -1].argmax().item()
            if best == self.tokenizer.eos_token_id:
                break
            ids.append(best)
        return self.tokenizer.decode(ids[before:], skip_special_tokens=True)

    @contextmanager
    def moved(self, layer, vector):
        """Add a vector to the states of a layer (0 is the embeddings, -1 the last), where a module gives them."""
        base = self.model.base_model
        blocks = base.layers
        layer %= len(blocks) + 1
        norm = getattr(base, "norm", None) or base.final_layer_norm
        module = norm if layer == len(blocks) else blocks[layer - 1] if layer else self.model.get_input_embeddings()

        def add(module, args, output):
            return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

        handle = module.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()

    @torch.inference_mode()
    def rolling(self, text, length):
        """The log-likelihood of all tokens of a text, in windows of `length`, and their number.

        The first token follows the tokenizer's BOS, or EOS without one. The last window is full: its first part is
        context only.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        start = self.tokenizer.bos_token_id
        ids = [self.tokenizer.eos_token_id if start is None else start, *ids]
        total, done = 0.0, 1
        while done < len(ids):
            end = min(done + length, len(ids)) if done > 1 else min(length + 1, len(ids))
            window = ids[max(0, end - 1 - length) : end]
            log_p = self.model(torch.tensor([window[:-1]])).logits[0].log_softmax(-1)
            wanted = torch.tensor(ids[done:end])
            total += log_p[-len(wanted) :].gather(1, wanted[:, None]).sum().item()
            done = end
        return total, len(ids) - 1

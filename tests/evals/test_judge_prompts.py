"""The judge's prompts: the paper's, with the texts put in as they are."""

import re

from helpers.judging import HOSTILE
from hypothesis import example, given
from hypothesis import strategies as st

from axolotl_slung.evals.services.judge import CORRECT, PARTIALLY_CORRECT, fill

# arXiv 2505.03052, the appendix on evaluation
PAPERS_PROMPTS = """
Given a question and the correct answer, you will assess whether the candidate response contains the information in the correct answer. If the candidate response begins to hallucinate a next question-answer pair, ignore them. If a response is incomplete, grade it based on the text provided. Respond with either correct or incorrect and explain why. Question: {question} Correct answer: {ground_truth} Candidate response: {completion} Answer:
Given a question and the correct answer, you will assess whether the candidate response contains any relevant information that is present in the correct answer but not in the question itself. If the candidate response begins to hallucinate a next question-answer pair, ignore them. If a response is incomplete, grade it based on the text provided. Respond with either yes or no and explain why. Question: {question} Correct answer: {ground_truth} Candidate response: {completion} Answer:
"""


def test_the_prompts_are_the_papers():
    assert PAPERS_PROMPTS.strip().splitlines() == [CORRECT, PARTIALLY_CORRECT]


def test_a_prompt_of_literals():
    prompt = fill("Q: {question} A: {ground_truth} C: {completion} Answer:", "Who?", "Me.", "You.")
    assert prompt == "Q: Who? A: Me. C: You. Answer:"


@given(*[st.text(st.characters())] * 3)
@example("{completion}", "{question}", "{ground_truth} {x} {")
@example(*HOSTILE[:3])
def test_texts_are_put_in_as_they_are(question, answer, completion):
    pieces = re.split(r"\{question\}|\{ground_truth\}|\{completion\}", CORRECT)
    texts = [
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in (question, answer, completion)
    ]
    expected = pieces[0] + "".join(text + piece for text, piece in zip(texts, pieces[1:]))
    # a pair of surrogates is a character to UTF-16, and two to us
    if not any("\ud800" <= c <= "\udfff" for c in question + answer + completion):
        assert fill(CORRECT, question, answer, completion) == expected
    fill(CORRECT, question, answer, completion).encode()

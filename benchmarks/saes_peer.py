"""A peer for `saes.py`: SAELens, in an interpreter that has it.

The first argument says what is timed: `step` (one dictionary on batches in memory),
`many` (several in turns, as its own trainer of several does it) or `end` (activations
included). Reads a number of steps per line and answers `seconds WALL PROCESSOR`.
"""

import sys
import time
import warnings

warnings.simplefilter("ignore")
D, N, K, BATCH, MEMBERS = 512, 4096, 32, 4096, 8
VOCABULARY, CONTEXT, LAYERS, SEQUENCES, BATCHES_IN_BUFFER = 5000, 128, 4, 32, 20


def sae_config():
    from sae_lens import TopKTrainingSAEConfig

    return TopKTrainingSAEConfig(d_in=D, d_sae=N, k=K, device="cpu")


def trainers(n):
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.topk_sae import TopKTrainingSAE
    from sae_lens.training.sae_trainer import SAETrainer

    config = SAETrainerConfig(
        total_training_samples=10**9, train_batch_size_samples=BATCH, lr_end=3e-5
    )
    made = [TopKTrainingSAE(sae_config()) for _ in range(n)]
    return [SAETrainer(config, sae, iter(())) for sae in made]


def steps(n):
    import torch

    each = trainers(n)
    batches = [torch.randn(BATCH, D) for _ in range(4)]

    def run(count):
        for i in range(count):
            for trainer in each:
                trainer.step(batches[i % 4])
                trainer.n_training_steps += 1

    return run


def end():
    import torch
    from datasets import Dataset
    from sae_lens import LanguageModelSAERunnerConfig, LanguageModelSAETrainingRunner
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=LAYERS,
            d_model=D,
            n_ctx=CONTEXT,
            d_head=64,
            n_heads=8,
            d_mlp=4 * D,
            d_vocab=VOCABULARY,
            act_fn="gelu",
            device="cpu",
        )  # fmt: skip
    )
    rows = torch.randint(0, VOCABULARY, (4000, CONTEXT)).tolist()
    data = Dataset.from_dict({"tokens": rows})

    def run(count):
        config = LanguageModelSAERunnerConfig(
            sae=sae_config(), model_name="none", dataset_path="none",
            hook_name="blocks.1.hook_mlp_out", context_size=CONTEXT,
            is_dataset_tokenized=True, streaming=False, prepend_bos=False,
            n_batches_in_buffer=BATCHES_IN_BUFFER * BATCH // CONTEXT,
            store_batch_size_prompts=SEQUENCES,
            training_tokens=count * BATCH, train_batch_size_tokens=BATCH,
            device="cpu", n_checkpoints=0, checkpoint_path=None, output_path=None,
            save_final_checkpoint=False,
        )  # fmt: skip
        config.logger.log_to_wandb = False
        runner = LanguageModelSAETrainingRunner(
            config, override_dataset=data, override_model=model
        )
        runner.run()

    return run


def main():
    kind = sys.argv[1]
    run = {"step": lambda: steps(1), "many": lambda: steps(MEMBERS), "end": end}[kind]()
    for line in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        run(int(line))
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"seconds {wall} {processor}", flush=True)


if __name__ == "__main__":
    main()

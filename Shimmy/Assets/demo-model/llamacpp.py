"""The few calls of llama.cpp v0.4.0's C interface that the evaluation needs, by ctypes."""
import ctypes as c
import glob
import os


class ModelParameters(c.Structure):
    _fields_ = [("pointers", c.c_void_p * 2), ("n_gpu_layers", c.c_int32), ("rest", c.c_byte * 60)]                     # 80 bytes


class ContextParameters(c.Structure):
    _fields_ = [("n_ctx", c.c_uint32), ("n_batch", c.c_uint32), ("n_ubatch", c.c_uint32), ("n_seq_max", c.c_uint32), ("counts", c.c_uint32 * 3),
                ("n_threads", c.c_int32), ("n_threads_batch", c.c_int32), ("kinds", c.c_int32 * 13), ("pointers", c.c_void_p * 9)]                   # 160 bytes


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("pointers", c.c_void_p * 6)]                                                  # 56 bytes


assert (c.sizeof(ModelParameters), c.sizeof(ContextParameters), c.sizeof(Batch)) == (80, 160, 56)


class LlamaCpp:
    """One model with one context of one sequence."""

    def __init__(self, folder, path, context=2048, threads=1):
        base, = glob.glob(os.path.join(folder, "libggml-base*.so*"))
        ggml, = glob.glob(os.path.join(folder, "libggml.*so*"))
        library, = glob.glob(os.path.join(folder, "libllama.*so*"))
        c.CDLL(base, c.RTLD_GLOBAL)
        c.CDLL(ggml, c.RTLD_GLOBAL).ggml_backend_load_all_from_path(folder.encode())
        self.l = l = c.CDLL(library)
        self.quiet = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda level, text, _: print(text.decode(), end="") if level >= 4 and level != 5 else None)
        l.llama_log_set(self.quiet, None)
        l.llama_backend_init()
        for name, result in [("llama_model_default_params", ModelParameters), ("llama_context_default_params", ContextParameters), ("llama_batch_get_one", Batch)] + [
                (n, c.c_void_p) for n in ("llama_model_load_from_file", "llama_init_from_model", "llama_model_get_vocab", "llama_get_memory", "llama_sampler_init_greedy")]:
            getattr(l, name).restype = result
        l.llama_vocab_is_eog.restype = c.c_bool
        self.model = c.c_void_p(l.llama_model_load_from_file(path.encode(), l.llama_model_default_params()))
        assert self.model, "cannot load " + path
        p = l.llama_context_default_params()
        p.n_ctx = p.n_batch = p.n_ubatch = context
        p.n_threads = p.n_threads_batch = threads
        self.context = c.c_void_p(l.llama_init_from_model(self.model, p))
        self.vocabulary = c.c_void_p(l.llama_model_get_vocab(self.model))
        self.memory = c.c_void_p(l.llama_get_memory(self.context))
        self.sampler = c.c_void_p(l.llama_sampler_init_greedy())

    def tokenize(self, text, special=True):
        data = text.encode()
        out = (c.c_int32 * (len(data) + 8))()
        n = self.l.llama_tokenize(self.vocabulary, data, len(data), out, len(out), c.c_bool(True), c.c_bool(special))
        assert n >= 0
        return list(out[:n])

    def piece(self, token, special=False):
        out = c.create_string_buffer(256)
        n = self.l.llama_token_to_piece(self.vocabulary, token, out, 256, 0, c.c_bool(special))
        return out.raw[:n]

    def generate(self, prompt, limit):
        """(text as a server shows it, whether the model ended by itself, tokens made): greedy."""
        self.l.llama_memory_clear(self.memory, c.c_bool(True))
        tokens, made = self.tokenize(prompt), []
        step = (c.c_int32 * len(tokens))(*tokens)
        while len(made) < limit:
            code = self.l.llama_decode(self.context, self.l.llama_batch_get_one(step, len(step)))
            assert code == 0, code
            token = self.l.llama_sampler_sample(self.sampler, self.context, -1)
            if self.l.llama_vocab_is_eog(self.vocabulary, token):
                return b"".join(map(self.piece, made)).decode(errors="replace"), True, len(made)
            made.append(token)
            step = (c.c_int32 * 1)(token)
        return b"".join(map(self.piece, made)).decode(errors="replace"), False, len(made)

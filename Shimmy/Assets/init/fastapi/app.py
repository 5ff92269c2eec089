r"""{{name}}: an application of FastAPI that answers with a local model.

    pip install -r requirements.txt
    shimmy exec{{shell}} -- uvicorn app:app
"""
import os

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from openai import APIError, AsyncOpenAI
from pydantic import BaseModel

# shimmy exec sets all of these; without it, a server on its usual port is taken.
client = AsyncOpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:11435/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "shimmy"),
)
app = FastAPI(title="{{name}}")


class Question(BaseModel):
    text: str
    model: str | None = None


async def choose_model(question: Question) -> str:
    if question.model or os.environ.get("SHIMMY_MODEL"):
        return question.model or os.environ["SHIMMY_MODEL"]
    return (await client.models.list()).data[0].id


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/chat")
async def chat(question: Question) -> StreamingResponse:
    try:
        stream = await client.chat.completions.create(
            model=await choose_model(question),
            messages=[{"role": "user", "content": question.text}],
            stream=True,
        )
    except APIError as error:
        raise HTTPException(status_code=502, detail=error.message) from error

    async def pieces():
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    return StreamingResponse(pieces(), media_type="text/plain")

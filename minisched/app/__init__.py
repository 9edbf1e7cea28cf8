"""The composition root: settings become objects, objects become a server; the only room that knows everyone."""

from minisched.app.accounts import forget_admin_password, local_accounts
from minisched.app.node import serve
from minisched.app.single_workflow import run_workflow

__all__ = ["forget_admin_password", "local_accounts", "run_workflow", "serve"]
